from sagemaker_pyspark import EndpointCreationPolicy, IAMRole, RandomNamePolicyFactory, SageMakerResourceCleanup
from sagemaker_pyspark.algorithms import LinearLearnerBinaryClassifier

training_data = spark.read.format("libsvm").option("numFeatures", "4").load(path)

estimator = LinearLearnerBinaryClassifier(
    trainingInstanceType="ml.m4.xlarge",
    trainingInstanceCount=1,
    endpointInstanceType="ml.m4.xlarge",
    endpointInitialInstanceCount=1,
    sagemakerRole=IAMRole("Trainer"),
    endpointCreationPolicy=EndpointCreationPolicy.CREATE_ON_TRANSFORM,
    namePolicyFactory=RandomNamePolicyFactory("churn-"),
)
estimator.setFeatureDim(4)
estimator.setMiniBatchSize(100)
estimator.setNumModels(2)
estimator.setUseBias("True")
estimator.setBinaryClassifierModelSelectionCriteria("f1")

model = estimator.fit(training_data)
transformed = model.transform(training_data)
transformed.show()

cleanup = SageMakerResourceCleanup(model.sagemakerClient)
cleanup.deleteResources(model.getCreatedResources())
