-- The radiologist's labels of MIMIC-CXR-JPG 2.1.0 in place of the labeller's, in the test split alone: training and
-- validation keep the labeller's. A test study that the radiologist did not read has no labels from here on.
CREATE OR REPLACE TABLE label_rows AS
WITH test_study AS (
    SELECT DISTINCT images.study_id
    FROM images
    JOIN patient_split USING (subject_id)
    WHERE patient_split.split = 'test'
)
SELECT *
FROM label_rows
ANTI JOIN test_study USING (study_id)
UNION ALL BY NAME
SELECT *
FROM test_labels
SEMI JOIN test_study USING (study_id);
