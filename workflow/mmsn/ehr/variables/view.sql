-- View as the ViewPosition tag states it. A blank is unknown and gets imputed. Rarer views (LAO, RAO, AP AXIAL and
-- others, 21 published images) are not one of the feature's four columns: unknown too, where the settings keep them.
SELECT
    dicom_id,
    CASE WHEN view_position IN ('AP', 'PA', 'LATERAL', 'LL') THEN view_position END AS value
FROM images
