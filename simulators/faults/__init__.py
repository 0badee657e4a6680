"""Faults on purpose: what devices, their clocks and their networks do wrong, by name, probability and schedule.

No clock and no I/O: chance comes from the seed, time from whoever runs the fleet. `spec` reads what somebody asked
for, `registry` knows the faults, `plan` carries them out and reports each one when it happens. One file per family.
"""
