"""Trains the GAN of emoji faces: a generator, the forger, against a discriminator, the detective."""
