-- Patient orientation as the DICOM tag's meaning states it; compared without case, since the tag is free text.
-- Blank on 41,100 of the 376,221 published images, which get imputed; a word other than the two is unknown too.
SELECT
    dicom_id,
    CASE lower(orientation) WHEN 'erect' THEN 'Erect' WHEN 'recumbent' THEN 'Recumbent' END AS value
FROM images
