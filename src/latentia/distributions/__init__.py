"""Laws: the likelihoods of decoders, and the priors of latent variables."""
