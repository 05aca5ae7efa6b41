from sagemaker_pyspark import IAMRole
from sagemaker_pyspark.algorithms import XGBoostSageMakerEstimator

training_data = spark.read.format("libsvm").option("numFeatures", "4").option("vectorType", "dense").load(path)

estimator = XGBoostSageMakerEstimator(
    sagemakerRole=IAMRole("Trainer"),
    trainingInstanceType="ml.m4.xlarge",
    trainingInstanceCount=1,
    endpointInstanceType="ml.m4.xlarge",
    endpointInitialInstanceCount=1,
)
estimator.setEta(0.2)
estimator.setGamma(0.5)
estimator.setMinChildWeight(2)
estimator.setSilent(0)
estimator.setObjective("multi:softmax")
estimator.setNumClasses(3)
estimator.setNumRound(10)

model = estimator.fit(training_data)
transformed = model.transform(training_data)
transformed.show()
