/* SPDX-License-Identifier: Apache-2.0
 *
 * TCP over IPv4 and IPv6 with a time limit on everything. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "comm_internal.h"

static const double one_try_seconds = 3.0; /* of one address of a host that has several */

void comm_close_fd(int *fd) {
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

bt_status comm_set_socket(int fd, bt_error *err) {
    const int one = 1;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return BT_FAIL(err, BT_E_RESOURCE, "a connection cannot be set up: %s", strerror(errno));
    }
    /* frames are small or complete: nothing is gained by waiting for more */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return BT_OK;
}

int comm_slice(double deadline) {
    const double left = deadline - bt_time_monotonic();
    return left <= 0 ? 0 : left < 0.2 ? (int)(left * 1000) + 1 : 200;
}

/* Until fd is ready for events; *ready false: the time is over. */
static bt_status wait_for(int fd, short events, double deadline, bool *ready, bt_error *err) {
    *ready = false;
    while (!*ready) {
        struct pollfd wanted = {.fd = fd, .events = events};
        const int     n = poll(&wanted, 1, comm_slice(deadline));
        BT_TRY(bt_stop_check_now(err));
        if (n < 0 && errno != EINTR) {
            return BT_FAIL(err, BT_E_RESOURCE, "waiting for a connection: %s", strerror(errno));
        }
        *ready = n > 0;
        if (n == 0 && bt_time_monotonic() >= deadline) {
            break;
        }
    }
    return BT_OK;
}

bt_status comm_send_all(int fd, const void *bytes, size_t n, double deadline, bt_error *err) {
    for (size_t sent = 0; sent < n;) {
        const ssize_t got = send(fd, (const char *)bytes + sent, n - sent, MSG_NOSIGNAL);
        if (got > 0) {
            sent += (size_t)got;
            continue;
        }
        bool ready = true;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            BT_TRY(wait_for(fd, POLLOUT, deadline, &ready, err));
        } else if (errno != EINTR) {
            return BT_FAIL(err, BT_E_BACKEND, "%s", strerror(errno));
        }
        if (!ready) {
            return BT_FAIL(err, BT_E_BACKEND, "takes nothing more");
        }
    }
    return BT_OK;
}

bt_status comm_recv_all(int fd, void *bytes, size_t n, double deadline, bt_error *err) {
    for (size_t have = 0; have < n;) {
        const ssize_t got = recv(fd, (char *)bytes + have, n - have, 0);
        if (got > 0) {
            have += (size_t)got;
            continue;
        }
        if (got == 0) {
            return BT_FAIL(err, BT_E_BACKEND, "closed the connection");
        }
        bool ready = true;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            BT_TRY(wait_for(fd, POLLIN, deadline, &ready, err));
        } else if (errno != EINTR) {
            return BT_FAIL(err, BT_E_BACKEND, "%s", strerror(errno));
        }
        if (!ready) {
            return BT_FAIL(err, BT_E_BACKEND, "does not answer");
        }
    }
    return BT_OK;
}

static int open_listener(int family, int32_t port) {
    const int one = 1;
    const int zero = 0;
    int       fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int       bound = -1;
    if (fd < 0) {
        return -1;
    }
    /* the port of a job that has just ended */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6) {
        const struct sockaddr_in6 any = {
            .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_any};
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
        bound = bind(fd, (const struct sockaddr *)&any, sizeof any);
    } else {
        const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        bound = bind(fd, (const struct sockaddr *)&any, sizeof any);
    }
    if (bound != 0 || listen(fd, SOMAXCONN) != 0) {
        const int failure = errno;
        comm_close_fd(&fd);
        errno = failure;
    }
    return fd;
}

bt_status comm_listen(int32_t *port, int *fd, bt_error *err) {
    struct sockaddr_storage name;
    socklen_t               n_name = sizeof name;
    memset(&name, 0, sizeof name);
    *fd = open_listener(AF_INET6, *port);
    if (*fd < 0 && errno != EADDRINUSE && errno != EACCES) {
        *fd = open_listener(AF_INET, *port); /* a machine without IPv6 */
    }
    if (*fd < 0 || getsockname(*fd, (struct sockaddr *)&name, &n_name) != 0) {
        const int failure = errno;
        comm_close_fd(fd);
        return BT_FAIL(err, BT_E_RESOURCE, "port %" PRId32 " cannot be listened on: %s%s", *port,
                       strerror(failure),
                       failure == EADDRINUSE ? "; another job, or one that has not ended yet, uses "
                                               "it: end that, or choose another port"
                                             : "");
    }
    *port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                             : ((struct sockaddr_in *)&name)->sin_port);
    return BT_OK;
}

static bt_status connect_one(const struct addrinfo *address, double deadline, int *fd,
                             bt_error *err) {
    int       failure = 0;
    socklen_t n = sizeof failure;
    bool      ready = true;
    bt_status rc = BT_OK;
    *fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
        return BT_FAIL(err, bt_status_of_errno(errno, BT_E_BACKEND), "%s", strerror(errno));
    }
    BT_CHECK(comm_set_socket(*fd, err));
    if (connect(*fd, address->ai_addr, address->ai_addrlen) != 0) {
        failure = errno;
        if (failure == EINPROGRESS) {
            BT_CHECK(wait_for(*fd, POLLOUT, deadline, &ready, err));
            failure = ETIMEDOUT;
            if (ready) {
                (void)getsockopt(*fd, SOL_SOCKET, SO_ERROR, &failure, &n);
            }
        }
    }
    if (failure != 0) {
        rc = BT_FAIL(err, BT_E_BACKEND, "%s", strerror(failure));
    }
done:
    if (rc != BT_OK) {
        comm_close_fd(fd);
    }
    return rc;
}

bt_status comm_connect(const char *host, int32_t port, double deadline, int *fd, bt_error *err) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo      *found = NULL;
    char                  service[16];
    *fd = -1;
    (void)snprintf(service, sizeof service, "%" PRId32, port);
    const int failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0) {
        return BT_FAIL(err, BT_E_BACKEND, "host '%s' is not known: %s", host,
                       failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
    }
    bt_status rc = BT_FAIL(err, BT_E_BACKEND, "host '%s' has no address", host);
    for (const struct addrinfo *a = found; a != NULL && rc != BT_OK; a = a->ai_next) {
        const double end = bt_time_monotonic() + one_try_seconds;
        rc = connect_one(a, end < deadline ? end : deadline, fd, err);
        if (rc == BT_E_INTERRUPTED || bt_time_monotonic() >= deadline) {
            break;
        }
    }
    freeaddrinfo(found);
    return rc;
}

/* Addresses of this host that others may know, and the loopback for ranks beside this one last.
 * None is not an error: rank 0 sees from where this one comes. */
void comm_own_addresses(comm_card *card) {
    struct ifaddrs *all = NULL;
    card->n_candidates = 0;
    if (getifaddrs(&all) != 0) {
        return;
    }
    for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
        const struct sockaddr *const address = a->ifa_addr;
        const void                  *bytes = NULL;
        if (address == NULL || (a->ifa_flags & IFF_LOOPBACK) != 0 || (a->ifa_flags & IFF_UP) == 0 ||
            card->n_candidates == COMM_MAX_CANDIDATES - 1) {
            continue;
        }
        if (address->sa_family == AF_INET) {
            bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
        } else if (address->sa_family == AF_INET6) {
            const struct in6_addr *const in =
                &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
            bytes = IN6_IS_ADDR_LINKLOCAL(in) ? NULL : in;
        }
        char *const text = card->candidates[card->n_candidates];
        if (bytes != NULL &&
            inet_ntop(address->sa_family, bytes, text, COMM_CANDIDATE_MAX) != NULL) {
            card->n_candidates++;
        }
    }
    (void)snprintf(card->candidates[card->n_candidates++], COMM_CANDIDATE_MAX, "127.0.0.1");
    freeifaddrs(all);
}
