"""Packed multiplies: several small products by one instruction, SMLAL or UMLAL.

`packing` says how inputs and weights share words and where the sums come out, `operands` brings a
layer's inputs and weights onto small integers, `schedule` finds from the actual weights how long
sums may grow and proves it, `sums` and `assembly` make the loop.
"""
