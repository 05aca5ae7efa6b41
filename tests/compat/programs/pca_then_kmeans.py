from pyspark.ml import Pipeline
from sagemaker_pyspark import EndpointCreationPolicy, IAMRole, S3DataPath
from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator, PCASageMakerEstimator
from sagemaker_pyspark.transformation.deserializers import KMeansProtobufResponseRowDeserializer, PCAProtobufResponseRowDeserializer
from sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer

training_data = spark.read.format("libsvm").option("numFeatures", "4").load(path)

pca = PCASageMakerEstimator(
    "ml.p2.xlarge",
    2,
    "ml.c4.xlarge",
    1,
    sagemakerRole=IAMRole("Trainer"),
    responseRowDeserializer=PCAProtobufResponseRowDeserializer(projection_column_name="reduced"),
    trainingInputS3DataPath=S3DataPath("bucket", "in"),
    trainingOutputS3DataPath=S3DataPath("bucket", "out"),
    endpointCreationPolicy=EndpointCreationPolicy.CREATE_ON_TRANSFORM,
)
pca.setNumComponents(2)
pca.setFeatureDim(4)

kmeans = KMeansSageMakerEstimator(
    "ml.p2.xlarge",
    2,
    "ml.c4.xlarge",
    1,
    sagemakerRole=IAMRole("Trainer"),
    trainingSparkDataFormatOptions={"featuresColumnName": "reduced"},
    requestRowSerializer=ProtobufRequestRowSerializer(featuresColumnName="reduced"),
    responseRowDeserializer=KMeansProtobufResponseRowDeserializer(),
    endpointCreationPolicy=EndpointCreationPolicy.CREATE_ON_TRANSFORM,
)
kmeans.setK(3)
kmeans.setFeatureDim(2)

model = Pipeline(stages=[pca, kmeans]).fit(training_data)
transformed = model.transform(training_data)
transformed.show()
