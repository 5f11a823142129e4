"""What all engines share: devices, memory limits, refusals and seeded random numbers."""
