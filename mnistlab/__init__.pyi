from mnistlab.models.estimator import NetworkClassifier as NetworkClassifier

__version__: str
