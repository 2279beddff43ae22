"""Networks on fabrics: how layers are divided among tiles, the programs of tiles, and laws of what lies between."""
