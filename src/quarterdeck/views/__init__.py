"""The law of this folder: it tells. Data in, text out; loads templates, writes nothing."""
