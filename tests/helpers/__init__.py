"""What tests of several rooms share: small data, small networks, runs that nobody trained, pages in a browser."""
