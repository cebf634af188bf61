"""Which files belong together, prepared records, and the examples that training takes."""
