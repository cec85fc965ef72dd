CREATE OR REPLACE VIEW clean_log_flat AS
SELECT
    CONCAT(LPAD(HEX(c.stream_id), 16, '0'), '-', c.line_offset) AS id,
    c.time AS `timestamp`,
    YEAR(c.time) AS `year`,
    MONTH(c.time) AS `month`,
    DAYOFMONTH(c.time) AS `day`,
    CASE WEEKDAY(c.time)
        WHEN 0 THEN 'Monday'
        WHEN 1 THEN 'Tuesday'
        WHEN 2 THEN 'Wednesday'
        WHEN 3 THEN 'Thursday'
        WHEN 4 THEN 'Friday'
        WHEN 5 THEN 'Saturday'
        WHEN 6 THEN 'Sunday'
    END AS day_of_week,
    TIME(c.time) AS `time`,
    COALESCE(INET6_NTOA(c.client), JSON_UNQUOTE(JSON_EXTRACT(c.extra, '$.client'))) AS ip,
    c.country AS country,
    c.city AS city,
    c.session AS `session`,
    c.user AS `user`,
    c.is_email AS is_email,
    c.email_domain AS email_domain,
    c.method AS rest_method,
    c.url AS url,
    c.scheme AS `schema`,
    c.host AS `host`,
    CONCAT('HTTP/', c.http_version) AS rest_version,
    c.status AS `status`,
    CASE c.status
        WHEN 100 THEN 'Continue'
        WHEN 101 THEN 'Switching Protocols'
        WHEN 102 THEN 'Processing'
        WHEN 103 THEN 'Early Hints'
        WHEN 200 THEN 'OK'
        WHEN 201 THEN 'Created'
        WHEN 202 THEN 'Accepted'
        WHEN 203 THEN 'Non-Authoritative Information'
        WHEN 204 THEN 'No Content'
        WHEN 205 THEN 'Reset Content'
        WHEN 206 THEN 'Partial Content'
        WHEN 207 THEN 'Multi-Status'
        WHEN 208 THEN 'Already Reported'
        WHEN 226 THEN 'IM Used'
        WHEN 300 THEN 'Multiple Choices'
        WHEN 301 THEN 'Moved Permanently'
        WHEN 302 THEN 'Found'
        WHEN 303 THEN 'See Other'
        WHEN 304 THEN 'Not Modified'
        WHEN 305 THEN 'Use Proxy'
        WHEN 307 THEN 'Temporary Redirect'
        WHEN 308 THEN 'Permanent Redirect'
        WHEN 400 THEN 'Bad Request'
        WHEN 401 THEN 'Unauthorized'
        WHEN 402 THEN 'Payment Required'
        WHEN 403 THEN 'Forbidden'
        WHEN 404 THEN 'Not Found'
        WHEN 405 THEN 'Method Not Allowed'
        WHEN 406 THEN 'Not Acceptable'
        WHEN 407 THEN 'Proxy Authentication Required'
        WHEN 408 THEN 'Request Timeout'
        WHEN 409 THEN 'Conflict'
        WHEN 410 THEN 'Gone'
        WHEN 411 THEN 'Length Required'
        WHEN 412 THEN 'Precondition Failed'
        WHEN 413 THEN 'Content Too Large'
        WHEN 414 THEN 'URI Too Long'
        WHEN 415 THEN 'Unsupported Media Type'
        WHEN 416 THEN 'Range Not Satisfiable'
        WHEN 417 THEN 'Expectation Failed'
        WHEN 421 THEN 'Misdirected Request'
        WHEN 422 THEN 'Unprocessable Content'
        WHEN 423 THEN 'Locked'
        WHEN 424 THEN 'Failed Dependency'
        WHEN 425 THEN 'Too Early'
        WHEN 426 THEN 'Upgrade Required'
        WHEN 428 THEN 'Precondition Required'
        WHEN 429 THEN 'Too Many Requests'
        WHEN 431 THEN 'Request Header Fields Too Large'
        WHEN 444 THEN 'No Response'
        WHEN 451 THEN 'Unavailable For Legal Reasons'
        WHEN 494 THEN 'Request Header Too Large'
        WHEN 495 THEN 'SSL Certificate Error'
        WHEN 496 THEN 'SSL Certificate Required'
        WHEN 497 THEN 'HTTP Request Sent to HTTPS Port'
        WHEN 499 THEN 'Client Closed Request'
        WHEN 500 THEN 'Internal Server Error'
        WHEN 501 THEN 'Not Implemented'
        WHEN 502 THEN 'Bad Gateway'
        WHEN 503 THEN 'Service Unavailable'
        WHEN 504 THEN 'Gateway Timeout'
        WHEN 505 THEN 'HTTP Version Not Supported'
        WHEN 506 THEN 'Variant Also Negotiates'
        WHEN 507 THEN 'Insufficient Storage'
        WHEN 508 THEN 'Loop Detected'
        WHEN 510 THEN 'Not Extended'
        WHEN 511 THEN 'Network Authentication Required'
    END AS status_verbose,
    c.size AS size_bytes,
    c.size / 1000 AS size_kilo_bytes,
    c.size / 1000000 AS size_mega_bytes
FROM clean_log AS c
