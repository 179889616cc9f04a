-- The paper's split (MedFuse, ehr_utils/create_split.py): patients of MedFuse's EHR validation and test lists, all
-- others train. Both sides are integers: MedFuse compares text with numbers, which can leave a split empty.
CREATE TABLE patient_split AS
SELECT
    subject_id,
    CASE
        WHEN subject_id IN (SELECT subject_id FROM medfuse_validate) THEN 'validate'
        WHEN subject_id IN (SELECT subject_id FROM medfuse_test) THEN 'test'
        ELSE 'train'
    END AS split
FROM (SELECT DISTINCT subject_id FROM images);
