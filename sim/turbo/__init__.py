"""The ``turbo`` engine: the Verilog of a tile compiled into this process, with a harness in C++ that moves its streams.

::

    Verilog text --library()--> <cache>/builds/<key>/tile.so --TurboEngine.run()--> planes, counters
                 (Verilator, g++)                            (ctypes; a whole program at a time)

Python hands over programs and planes, and takes planes and counters back; every cycle between them is Verilator's.
"""
