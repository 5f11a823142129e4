"""Draws emoji faces with the generator of a GAN, and judges each with the discriminator that it was trained against."""
