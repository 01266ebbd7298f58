"""Share links: who creates them, who may read by them, and what readers see."""
