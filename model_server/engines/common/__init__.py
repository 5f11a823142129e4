"""Code that all engines share: devices, memory, refusals, random numbers and images."""
