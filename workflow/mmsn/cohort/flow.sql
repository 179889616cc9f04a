-- The counts of flow.json in one row: how many images each step keeps, and what the cohort looks like on the way.
-- `before_` marks counts over every image of the metadata: the released notebook takes those there.
WITH kinds AS (
    SELECT
        images.view_position,
        images.orientation IS NULL AS no_orientation,
        images.study_date IS NULL AS no_date,
        images.study_time IS NULL AS no_time,
        placed.sex,
        placed.split,
        placed.label_row IS NOT NULL AS labelled,
        placed.reason IS NULL AS kept,
        count(*) AS n
    FROM images
    POSITIONAL JOIN placed
    GROUP BY ALL
)
SELECT
    sum(n) AS images,
    sum(n) FILTER (view_position = 'AP') AS before_ap,
    sum(n) FILTER (view_position = 'PA') AS before_pa,
    sum(n) FILTER (view_position = 'LATERAL') AS before_lateral,
    sum(n) FILTER (view_position = 'LL') AS before_ll,
    sum(n) FILTER (view_position IS NULL) AS before_no_view,
    sum(n) FILTER (view_position NOT IN ('AP', 'PA', 'LATERAL', 'LL')) AS before_other_view,
    sum(n) FILTER (no_date) AS before_no_date,
    sum(n) FILTER (no_time) AS before_no_time,
    (SELECT count(*) FROM admission_cover WHERE hospital_expire_flag = 1) AS before_died,
    sum(n) - (SELECT count(*) FROM icu_cover) AS before_outside_icu,
    sum(n) FILTER (labelled) AS before_labelled,
    sum(n) FILTER (labelled AND split = 'train') AS before_train,
    sum(n) FILTER (labelled AND split = 'validate') AS before_validate,
    sum(n) FILTER (labelled AND split = 'test') AS before_test,
    sum(n) FILTER (sex IS NOT NULL) AS sex_known,
    sum(n) FILTER (sex = 'M') AS male,
    sum(n) FILTER (sex = 'F') AS female,
    sum(n) FILTER (sex IS NOT NULL AND no_orientation) AS no_orientation,
    sum(n) FILTER (kept) AS kept,
    (SELECT count(DISTINCT subject_id) FROM placed WHERE reason IS NULL) AS kept_patients,
    sum(n) FILTER (kept AND labelled) AS kept_labelled,
    sum(n) FILTER (kept AND split = 'train') AS kept_train,
    sum(n) FILTER (kept AND split = 'validate') AS kept_validate,
    sum(n) FILTER (kept AND split = 'test') AS kept_test,
    (SELECT count(*) FROM admissions WHERE dischtime IS NULL) AS admissions_without_end,
    (SELECT count(*) FROM icustays WHERE outtime IS NULL) AS icustays_without_end
FROM kinds
