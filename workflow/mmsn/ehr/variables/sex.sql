-- Sex as MIMIC-IV records it at the anchor; nothing else in the tables states it.
-- Unknown where the patient is absent from MIMIC-IV (889 published images) or the cell is neither M nor F.
SELECT
    images.dicom_id,
    CASE WHEN patients.gender IN ('M', 'F') THEN patients.gender END AS value
FROM images
LEFT JOIN patients USING (subject_id)
