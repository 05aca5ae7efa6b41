from sagemaker_pyspark import IAMRole, SageMakerClients
from sagemaker_pyspark.algorithms import FactorizationMachinesRegressor

ratings = spark.read.format("libsvm").option("numFeatures", "16").load(path)

estimator = FactorizationMachinesRegressor(
    trainingInstanceType="ml.c4.8xlarge",
    trainingInstanceCount=1,
    endpointInstanceType="ml.c4.xlarge",
    endpointInitialInstanceCount=1,
    sagemakerRole=IAMRole("Trainer"),
    sagemakerClient=SageMakerClients.create_sagemaker_client(),
    s3Client=SageMakerClients.create_s3_default_client(),
    stsClient=SageMakerClients.create_sts_default_client(),
)
estimator.setNumFactors(2)
estimator.setFeatureDim(16)
estimator.setEpochs(20)
estimator.setLinearLr(0.1)
estimator.setFactorsLr(0.05)
estimator.setFactorsInitSigma(0.1)

model = estimator.fit(ratings)
transformed = model.transform(ratings)
transformed.show()
