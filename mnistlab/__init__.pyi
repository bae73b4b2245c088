from mnistlab.estimator import NetworkClassifier as NetworkClassifier

__version__: str
