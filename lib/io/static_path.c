#include "lib/io/static_path.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

bool static_path_safe(const char *path)
{
    if (path[0] != '/')
        return false;
    while (*path == '/') {
        path++;
        size_t n = strcspn(path, "/");
        if (path[0] == '.' || memchr(path, '\\', n) || (n == 0 && path[0] != 0))
            return false;
        path += n;
    }
    return true;
}

static const char *last_segment(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool static_path_is_page(const char *path)
{
    return strchr(last_segment(path), '.') == NULL;
}

bool static_path_is_hashed(const char *path)
{
    const char *name = last_segment(path), *dot = strrchr(name, '.');
    if (!dot)
        return false;
    const char *p = dot;
    bool digit_or_upper = false;
    while (p > name && (isalnum((unsigned char)p[-1]) || p[-1] == '_')) {
        p--;
        digit_or_upper = digit_or_upper || isdigit((unsigned char)*p) || isupper((unsigned char)*p);
    }
    return p > name && (p[-1] == '-' || p[-1] == '.') && dot - p >= 8 && digit_or_upper;
}

const char *static_path_type(const char *path)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".webp", "image/webp"},
        {".gif", "image/gif"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
        {".mp3", "audio/mpeg"},
        {".ogg", "audio/ogg"},
        {".wav", "audio/wav"},
        {".mp4", "video/mp4"},
        {".webm", "video/webm"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *dot = strrchr(last_segment(path), '.');
    for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}
