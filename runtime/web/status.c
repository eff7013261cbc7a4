/* How an answer begins; see status.h. */
#include "web/status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* RFC 9110, 15, RFC 6585: what people look at; programs read the number. */
static const char *reason_of(unsigned status) {
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

/* The names of days and months are English whatever the locale. */
static const char *date(void) {
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static char text[64];
    static time_t last;
    time_t now = time(NULL);
    struct tm t;
    if (now == last || !gmtime_r(&now, &t))
        return text;
    last = now;
    snprintf(text, sizeof text, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + 3 * t.tm_wday, t.tm_mday,
             months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    return text;
}

void status_add(text_buffer *out, unsigned status) {
    text_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, reason_of(status), date());
}

void status_add_refusal(text_buffer *out, unsigned status, const char *problem) {
    status_add(out, status);
    text_printf(out,
                "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n",
                strlen(problem) + 1);
    text_printf(out, "%s\r\n%s\n", status == 429 || status == 503 ? "Retry-After: 5\r\n" : "", problem);
}

bool status_has_body(unsigned status) {
    return status >= 200 && status != 204 && status != 304;
}
