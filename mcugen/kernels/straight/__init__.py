"""Straight-line code on words of 32 lanes: adder networks, register allocation, printers.

A network is built once as gates whose values are assigned once (`gates`, `adders`, `networks`) and
printed as portable C (`portable`) or as assembly (`thumb2`, `thumb1`) from one allocation of
registers (`allocate`). It knows nothing of layers.
"""
