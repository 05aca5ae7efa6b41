from sagemaker_pyspark import IAMRole, classpath_jars
from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator

jars = ":".join(classpath_jars())  # for spark.driver.extraClassPath

role = "arn:aws:iam::123456789012:role/Trainer"
training_data = spark.read.format("libsvm").option("numFeatures", "4").option("vectorType", "dense").load(path)

estimator = KMeansSageMakerEstimator(
    trainingInstanceType="ml.m4.xlarge",
    trainingInstanceCount=2,
    endpointInstanceType="ml.m4.xlarge",
    endpointInitialInstanceCount=1,
    sagemakerRole=IAMRole(role),
)
estimator.setK(3)
estimator.setFeatureDim(4)
print(estimator.explainParams())

model = estimator.fit(training_data)
transformed = model.transform(training_data)
transformed.show()
