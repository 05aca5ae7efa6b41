from sagemaker_pyspark import IAMRole
from sagemaker_pyspark.algorithms import LDASageMakerEstimator

documents = spark.read.format("libsvm").option("numFeatures", "12").load(path)

estimator = LDASageMakerEstimator(
    trainingInstanceType="ml.c4.xlarge",
    trainingInstanceCount=1,
    endpointInstanceType="ml.c4.xlarge",
    endpointInitialInstanceCount=1,
    sagemakerRole=IAMRole("Trainer"),
)
estimator.setNumTopics(2)
estimator.setFeatureDim(12)
estimator.setMiniBatchSize(documents.count())
estimator.setAlpha0(0.5)

model = estimator.fit(documents)
transformed = model.transform(documents)
transformed.show()
