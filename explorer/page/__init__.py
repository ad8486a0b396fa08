"""The explorer in one page: a model that runs in a browser, without a server.

`packed_weights` writes weights as text, `patterns` translates the tokenizer, `wasm`
compiles kernel.wat; `build` puts them into page.html. In the page, engine.js is the
transformer on the products of product.js, worker.js runs it in a thread of its own,
view.js shows the answers, and more.js is the game, the comparison, and the beginning.
`node` runs the engine without a page.
"""
