"""Pure: a Report in, a Diagnosis out."""
