-- What was ordered, as a class of PerformedProcedureStepDescription: made for imputing views and positions
-- (imputation.predictors), since a portable film is a lying patient's AP and an order for two views a standing one's PA
-- and lateral. 'CHEST (PORTABLE AP)' and 'CHEST (PA AND LAT)' are nearly all; line placements and trauma series say PORT.
-- A blank, or the placeholder that some machines send, is unknown.
SELECT
    dicom_id,
    CASE
        WHEN description IS NULL OR description IN ('PERFORMED DESCRIPTION', 'PERFORMED DESC') THEN NULL
        WHEN contains(description, 'PORT') THEN 'portable'
        WHEN regexp_matches(description, '\b(PA|AP)\b.*\bLAT\b') THEN 'two_views'
        ELSE 'other'
    END AS value
FROM (SELECT dicom_id, upper(PerformedProcedureStepDescription) AS description FROM raw_metadata)
