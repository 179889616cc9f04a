-- Age in years at the study. MIMIC-IV hides the birthday: it gives the age in one anchor year, and dates are shifted
-- per patient by the same amount in MIMIC-IV and MIMIC-CXR, so only the difference of years can be trusted.
-- Ages 0 to 120 are plausible, anything else is unknown. The published cohort spans 16 to 100, because MIMIC-IV has
-- adults only (100 is an 89+ patient grown older); children are kept, other data sets have them.
SELECT
    dicom_id,
    CASE WHEN years BETWEEN 0 AND 120 THEN CAST(years AS DOUBLE) END AS value
FROM (
    SELECT images.dicom_id, year(images.study_date) - (patients.anchor_year - patients.anchor_age) AS years
    FROM images
    LEFT JOIN patients USING (subject_id)
)
