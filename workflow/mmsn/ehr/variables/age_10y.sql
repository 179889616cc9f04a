-- Age in 10-year bins, as the released notebook cuts it (EHR-data-extract.ipynb): bins are closed on the right, so an
-- 80-year-old is in '70-80'. The notebook leaves age 0 in no bin; here it is '<20' like every other child.
-- Ages 0 to 120 are plausible, anything else is unknown (see age.sql).
SELECT
    dicom_id,
    CASE
        WHEN years NOT BETWEEN 0 AND 120 THEN NULL
        WHEN years <= 20 THEN '<20'
        WHEN years <= 30 THEN '20-30'
        WHEN years <= 40 THEN '30-40'
        WHEN years <= 50 THEN '40-50'
        WHEN years <= 60 THEN '50-60'
        WHEN years <= 70 THEN '60-70'
        WHEN years <= 80 THEN '70-80'
        WHEN years <= 90 THEN '80-90'
        WHEN years > 90 THEN '90+'
    END AS value
FROM (
    SELECT images.dicom_id, year(images.study_date) - (patients.anchor_year - patients.anchor_age) AS years
    FROM images
    LEFT JOIN patients USING (subject_id)
)
