"""In and out: our weights in everybody's tools, a real BERT in our code.

`export` writes a trained model as the Hugging Face hub expects it, `tokenizer_json` its
tokenizer and `model_card` the page that describes it. `bert` builds our model from the
weights of a BERT, and `wordpiece` is BERT's tokenizer as the explorer needs it.
`weight_names` says which weight is which. transformers itself is needed by none of
them.
"""
