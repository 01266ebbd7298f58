"""How long data is kept (`periods`), and how it is deleted (`purge`, `trash`) or erased (`erasure`)."""
