-- Rows to RecordIO-protobuf, as the service reads them, and back, in SQL alone.
--
--   spark-sql --jars "$(python -m sparkml_algos.jvm path)" -d rows=/tmp/customers/train.parquet -d out=/tmp/recordio -f examples/jobs/recordio.sql

INSERT OVERWRITE DIRECTORY '${out}' USING `recordio-protobuf`
SELECT CAST(leaves AS DOUBLE) AS label, array(age, income, CAST(visits AS DOUBLE)) AS features FROM parquet.`${rows}`;

CREATE TEMPORARY VIEW records (label DOUBLE, features ARRAY<FLOAT>)
USING `recordio-protobuf` OPTIONS (path '${out}', numFeatures 3);

SELECT label, count(*) AS rows, round(avg(features[0]), 1) AS age, round(avg(features[2]), 1) AS visits
FROM records GROUP BY label ORDER BY label;
