"""What attention and the answers depend on."""
