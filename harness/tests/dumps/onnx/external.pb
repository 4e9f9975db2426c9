Bstemj
locationweights.binp