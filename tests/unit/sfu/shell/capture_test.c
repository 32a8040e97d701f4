/* Captures: taps that never wait, files that are what they should be. Run by ThreadSanitizer too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "sfu/shell/capture.h"

#define ROOM "01890a5d-ac96-774b-bcce-b302099a8057"
#define WALL INT64_C(1700000000123456)

static char dir[64];

static struct capture_options options(size_t n_taps)
{
    struct capture_options o = {
        .dir = dir, .seconds = 60, .max_bytes = CAPTURE_MAX_BYTES, .n_taps = n_taps};
    assert_int_equal(id_parse(&o.room, ROOM), OK);
    return o;
}

static struct capture *start(const struct capture_options *o, int64_t wall_us)
{
    struct capture *c = NULL;
    assert_int_equal(capture_start(&c, o, wall_us), OK);
    assert_non_null(c);
    return c;
}

static void await_packets(const struct capture *c, uint64_t n)
{
    struct capture_counts counts = {0};
    for (int i = 0; i < 1000 && counts.packets < n; i++) {
        capture_counts(c, &counts);
        poll(NULL, 0, 5);
    }
    assert_int_equal(counts.packets, n);
}

static void await_end(const struct capture *c)
{
    for (int i = 0; i < 1000 && !capture_done(c); i++) {
        poll(NULL, 0, 5);
    }
    assert_true(capture_done(c));
}

/* The whole file; removed. */
static struct buf take_file(const char *path)
{
    struct buf b;
    uint8_t block[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    buf_init(&b, 64 << 20);
    while ((n = read(fd, block, sizeof block)) > 0) {
        assert_int_equal(buf_append(&b, block, (size_t)n), OK);
    }
    close(fd);
    assert_int_equal(unlink(path), 0);
    return b;
}

static void a_file_as_wireshark_reads_it(void **state)
{
    (void)state;
    struct capture_options o = options(2);
    struct capture *c = start(&o, WALL);
    struct stat st;
    char path[CAPTURE_PATH];
    snprintf(path, sizeof path, "%s", capture_path(c));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_non_null(strstr(path, ROOM "-20231114T221320Z.pcap"));
    uint8_t packet[100];
    memset(packet, 0x80, sizeof packet);
    capture_tap_put(capture_tap_at(c, 1), WALL, 0x1234, packet, sizeof packet);
    await_packets(c, 1);
    capture_free(c);

    struct buf b = take_file(path);
    struct cursor r;
    cursor_init(&r, b.data, b.len);
    assert_int_equal(b.len, 24 + 16 + 28 + sizeof packet);
    assert_int_equal(cursor_u32(&r), 0xa1b2c3d4);
    assert_int_equal(cursor_u16(&r), 2);
    assert_int_equal(cursor_u16(&r), 4);
    cursor_skip(&r, 12);
    assert_int_equal(cursor_u32(&r), 101);
    assert_int_equal(cursor_u32(&r), 1700000000);
    assert_int_equal(cursor_u32(&r), 123456);
    assert_int_equal(cursor_u32(&r), 128);
    assert_int_equal(cursor_u32(&r), 128);
    uint32_t sum = 0;
    for (size_t i = 0; i < 20; i += 2) {
        sum += (uint32_t)b.data[40 + i] << 8 | b.data[41 + i];
    }
    assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
    cursor_skip(&r, 12);
    assert_int_equal(cursor_u32(&r), 0x0a001234);
    cursor_skip(&r, 4);
    assert_int_equal(cursor_u16(&r), CAPTURE_PORT);
    assert_int_equal(cursor_u16(&r), CAPTURE_PORT);
    assert_int_equal(cursor_u16(&r), 108);
    cursor_skip(&r, 2);
    assert_memory_equal(cursor_bytes(&r, sizeof packet), packet, sizeof packet);
    buf_free(&b);
}

/* ---- two threads ---- */

struct writer_thread {
    struct capture_tap *tap;
    uint32_t participant;
    unsigned packets;
};

static void *put_packets(void *arg)
{
    const struct writer_thread *w = arg;
    uint8_t data[1200];
    for (unsigned i = 0; i < w->packets; i++) {
        size_t len = 4 + i % 1190;
        memset(data, (int)i, len);
        memcpy(data, &i, 4);
        capture_tap_put(w->tap, WALL + i, w->participant, data, len);
    }
    return NULL;
}

/* Every packet is in the file or counted as dropped, in order and whole. */
static void check_packets(const struct buf *b, const uint64_t *least)
{
    struct cursor r;
    uint64_t next[2] = {0}, n = 0;
    cursor_init(&r, b->data, b->len);
    cursor_skip(&r, 24);
    while (cursor_left(&r) > 0) {
        cursor_skip(&r, 8);
        uint32_t len = cursor_u32(&r);
        cursor_skip(&r, 4 + 12);
        uint32_t from = cursor_u32(&r) - 0x0a000001;
        cursor_skip(&r, 12);
        const uint8_t *data = cursor_bytes(&r, len - 28);
        uint32_t i;
        assert_non_null(data);
        assert_true(from < 2);
        memcpy(&i, data, 4);
        assert_true(i >= next[from]);
        assert_int_equal(len - 28, 4 + i % 1190);
        for (size_t k = 4; k < len - 28; k++) {
            assert_int_equal(data[k], (uint8_t)i);
        }
        next[from] = i + 1;
        n++;
    }
    assert_false(r.bad);
    assert_int_equal(n, *least);
}

static void workers_never_wait_and_nothing_is_torn(void **state)
{
    (void)state;
    enum { PACKETS = 20000 };
    struct capture_options o = options(2);
    struct capture *c = start(&o, WALL + 1000000);
    struct writer_thread w[2];
    pthread_t thread[2];
    char path[CAPTURE_PATH];
    struct capture_counts n;
    snprintf(path, sizeof path, "%s", capture_path(c));
    for (uint32_t i = 0; i < 2; i++) {
        w[i] = (struct writer_thread){capture_tap_ref(capture_tap_at(c, i)), i + 1, PACKETS};
        assert_int_equal(pthread_create(&thread[i], NULL, put_packets, &w[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
    for (int i = 0; i < 1000; i++) {
        capture_counts(c, &n);
        if (n.packets + n.dropped == 2 * PACKETS) {
            break;
        }
        poll(NULL, 0, 5);
    }
    assert_int_equal(n.packets + n.dropped, 2 * PACKETS);
    assert_true(n.packets > 1000);
    capture_free(c); /* before the writers let go */
    assert_true(capture_tap_closed(w[0].tap));
    capture_tap_put(w[0].tap, WALL, 1, (const uint8_t *)"late", 4);
    for (int i = 0; i < 2; i++) {
        capture_tap_unref(w[i].tap);
    }
    struct buf b = take_file(path);
    check_packets(&b, &n.packets);
    buf_free(&b);
}

static void bounds_of_bytes_and_time(void **state)
{
    (void)state;
    struct capture_options o = options(1);
    uint8_t data[CAPTURE_PACKET + 1] = {0};
    char path[CAPTURE_PATH];
    struct capture_counts n;
    o.max_bytes = CAPTURE_MIN_BYTES;
    struct capture *c = start(&o, WALL + 2000000);
    snprintf(path, sizeof path, "%s", capture_path(c));
    capture_tap_put(capture_tap_at(c, 0), WALL, 1, data, sizeof data); /* too long */
    for (int i = 0; i < 10; i++) {
        capture_tap_put(capture_tap_at(c, 0), WALL, 1, data, 1000);
    }
    await_end(c);
    capture_counts(c, &n);
    assert_int_equal(n.packets, 3);
    assert_int_equal(n.dropped, 1);
    assert_int_equal(n.bytes, 24 + 3 * 1044);
    capture_free(c);
    struct buf b = take_file(path);
    assert_int_equal(b.len, n.bytes);
    buf_free(&b);

    o.seconds = 1;
    c = start(&o, WALL + 3000000);
    snprintf(path, sizeof path, "%s", capture_path(c));
    await_end(c);
    assert_true(capture_tap_closed(capture_tap_at(c, 0)));
    capture_free(c);
    assert_int_equal(unlink(path), 0);
}

static void assert_refused(const struct capture_options *o, int err)
{
    struct capture *c = NULL;
    assert_int_equal(capture_start(&c, o, WALL + 4000000), err);
    assert_null(c);
}

static void what_is_not_sane_is_refused(void **state)
{
    (void)state;
    struct capture_options o = options(1), bad;
    bad = o;
    bad.seconds = 0;
    assert_refused(&bad, ERR_INVALID);
    bad.seconds = CAPTURE_MAX_SECONDS + 1;
    assert_refused(&bad, ERR_INVALID);
    bad = o;
    bad.max_bytes = CAPTURE_MIN_BYTES - 1;
    assert_refused(&bad, ERR_INVALID);
    bad.max_bytes = INT64_MAX;
    assert_refused(&bad, ERR_INVALID);
    bad = o;
    bad.dir = "";
    assert_refused(&bad, ERR_INVALID);
    bad = o;
    snprintf(bad.room.s, sizeof bad.room.s, "../../etc/passwd");
    assert_refused(&bad, ERR_INVALID);
    bad = o;
    bad.dir = "/nowhere/at/all";
    assert_refused(&bad, ERR_IO);
}

static void no_file_is_written_over_and_no_link_followed(void **state)
{
    (void)state;
    struct capture_options o = options(1);
    char path[CAPTURE_PATH];
    struct capture *c = start(&o, WALL + 4000000);
    snprintf(path, sizeof path, "%s", capture_path(c));
    assert_refused(&o, ERR_IO); /* of the same second */
    capture_free(c);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/tmp/elsewhere", path), 0);
    assert_refused(&o, ERR_IO);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_as_wireshark_reads_it),
        cmocka_unit_test(workers_never_wait_and_nothing_is_torn),
        cmocka_unit_test(bounds_of_bytes_and_time),
        cmocka_unit_test(what_is_not_sane_is_refused),
        cmocka_unit_test(no_file_is_written_over_and_no_link_followed),
    };
    snprintf(dir, sizeof dir, "/tmp/sotto-capture-XXXXXX");
    if (!mkdtemp(dir)) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(dir) == 0 ? failed : 1; /* nothing may be left in it */
}
