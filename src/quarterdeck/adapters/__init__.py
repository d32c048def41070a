"""The law of this folder: one outside system per file; library errors are translated here and chained."""
