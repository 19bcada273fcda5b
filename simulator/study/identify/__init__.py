"""Can these measurements determine these unknowns? Asked before anyone measures."""
