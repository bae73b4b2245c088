"""The range test: loss against a learning rate that grows, and the rate that it suggests."""
