/* The floor of downloads and uploads (bench/client/file_server.h).
 *   sotto-load-sendfile --dir D [--port P]
 * prints "ready PORT" and serves until SIGTERM or SIGINT. */
#include <signal.h>
#include <stdio.h>

#include "bench/client/args.h"
#include "bench/client/file_server.h"
#include "lib/base/err.h"

static volatile sig_atomic_t over;

static void on_signal(int number)
{
    (void)number;
    over = 1;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"--dir", "--port", NULL};
    struct file_server *server = NULL;
    int64_t port;
    if (args_check(argc, argv, names) != OK ||
        args_int(&port, argc, argv, "--port", 0, 0, 65535) != OK)
        return 2;
    const char *dir = args_text(argc, argv, "--dir", ".");
    struct sigaction on_end = {.sa_handler = on_signal};
    sigaction(SIGTERM, &on_end, NULL);
    sigaction(SIGINT, &on_end, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (file_server_new(&server, dir, (int)port) != OK) {
        perror(dir);
        return 1;
    }
    printf("ready %d\n", file_server_port(server));
    fflush(stdout);
    int err = OK;
    while (!over && err == OK)
        err = file_server_turn(server, 1000);
    file_server_free(server);
    return err == OK ? 0 : 1;
}
