"""Configuration: the schema, its composition by Hydra, messages for what is wrong with it, and safe reading of YAML."""
