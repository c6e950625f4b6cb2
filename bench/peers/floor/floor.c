// floor is the physical limit that the peers and wsd are measured against: one
// thread, level-triggered epoll, one recv and one send per batch of messages.
// /ws gets a constant for every frame without a look at its payload, /echo gets
// its own bytes back. No pings, no fragments, no queue for a client that does
// not read (it is dropped), no frame above 64 KB. It is not a server to use.
#define _GNU_SOURCE
#include "accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FREE, CLIENTS, PUBLISHERS, JOINING, ACTION, ECHO, PUBLISHER };
enum { FDS = 1 << 20, BUF = 1 << 17, REST = 70000, BATCH = 512 };
static struct { uint32_t have; uint8_t is; char *rest; } at[FDS];  // by descriptor; rest is a cut message
static char in[BUF + 1], same[BATCH * 72];
static size_t one;
static int ep, highest;
static long opened, closed, messages;

static void drop(int fd) {
  closed += at[fd].is == ACTION || at[fd].is == ECHO;
  close(fd);
  free(at[fd].rest);
  memset(&at[fd], 0, sizeof at[fd]);
}

static int put(int fd, const void *p, size_t n) {
  if (send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n) return 1;
  drop(fd);
  return 0;
}

static void watch(int fd, int is) {
  struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
  if (fd < 0 || fd >= FDS || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e)) {
    close(fd);
    return;
  }
  at[fd].is = (uint8_t)is;
  if (fd > highest) highest = fd;
}

static void listen_on(const char *where, int is) {
  char host[64] = "";
  unsigned port = 0;
  struct sockaddr_in a = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited by what it accepts
  if (sscanf(where, "%63[0-9.]:%u", host, &port) != 2 || !inet_pton(AF_INET, host, &a.sin_addr)) {
    fprintf(stderr, "%s: want IPV4:PORT\n", where);
    exit(1);
  }
  a.sin_port = htons((uint16_t)port);
  if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096)) perror(where), exit(1);
  watch(fd, is);
}

// Each of these returns how many bytes it used: 0 when it needs more first.
static size_t join(int fd, char *p, size_t n) {
  char *end = memmem(p, n, "\r\n\r\n", 4), *key, res[160];
  if (!end) return 0;
  *end = 0;
  key = strcasestr(p, "\r\nSec-WebSocket-Key: ");
  if (!key || end - key < 45) {
    drop(fd);
    return 0;
  }
  int k = sprintf(res, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: ____________________________\r\n\r\n");
  accept_key(key + 21, res + k - 32);
  at[fd].is = strncmp(p, "GET /echo ", 10) ? ACTION : ECHO;
  opened++;
  put(fd, res, (size_t)k);
  return (size_t)(end + 4 - p);
}

static size_t admin(int fd, char *p, size_t n) {
  static char frame[4 + REST];
  char *end = memmem(p, n, "\r\n\r\n", 4), *field, body[160], res[320];
  if (!end) return 0;
  *end = 0;
  field = strcasestr(p, "\r\nContent-Length: ");
  size_t size = field ? strtoul(field + 18, 0, 10) : 0, head = size < 126 ? 2 : 4, used = (size_t)(end + 4 - p);
  *end = '\r';
  if (size > 65535) {
    drop(fd);
    return 0;
  }
  if (n - used < size) return 0;
  sprintf(body, "{\"clients\":%ld,\"opened\":%ld,\"closed\":%ld,\"messages\":%ld}", opened - closed, opened, closed, messages);
  if (!strncmp(p, "POST /v1/publish?all ", 21)) {
    int matched = 0, sent = 0;
    frame[0] = (char)0x81, frame[1] = (char)(head == 2 ? size : 126);
    if (head == 4) frame[2] = (char)(size >> 8), frame[3] = (char)size;
    memcpy(frame + head, end + 4, size);
    for (int i = 0; i <= highest; i++)
      if (at[i].is == ACTION || at[i].is == ECHO) matched++, sent += put(i, frame, head + size);
    sprintf(body, "{\"matched\":%d,\"sent\":%d,\"queued\":0,\"dropped\":%d}", matched, sent, matched - sent);
  }
  int k = sprintf(res, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
  put(fd, res, (size_t)k);
  return used + size;
}

// frames steps over the whole frames in p; those of /echo are unmasked and
// moved together at p, where their answer is *out bytes long.
static size_t frames(int fd, uint8_t *p, size_t n, size_t *out) {
  size_t used = 0;
  int count = 0;
  while (n - used >= 6 && count < BATCH) {
    uint8_t *f = p + used, *o = p + *out, key[8];
    size_t head = 6, size = f[1] & 127;
    if (size == 126) head = 8, size = (size_t)f[2] << 8 | f[3];
    if (size == 127 || !(f[1] & 128) || (f[0] & 15) == 8) {  // too big, unmasked or a close
      drop(fd);
      return 0;
    }
    if (n - used < head + size) break;
    used += head + size, count++;
    if (at[fd].is != ECHO) continue;
    uint64_t x, mask;
    memcpy(key, f + head - 4, 4), memcpy(key + 4, key, 4), memcpy(&mask, key, 8);
    o[0] = f[0], o[1] = f[1] & 127;
    if (head == 8) o[2] = f[2], o[3] = f[3];
    o += head - 4, f += head, *out += head - 4 + size;
    for (; size >= 8; size -= 8, o += 8, f += 8) memcpy(&x, f, 8), x ^= mask, memcpy(o, &x, 8);
    for (size_t i = 0; i < size; i++) o[i] = f[i] ^ key[i];
  }
  messages += count;
  if (count && at[fd].is == ECHO) put(fd, p, *out);
  if (count && at[fd].is == ACTION) put(fd, same, (size_t)count * one);
  return used;
}

static void readable(int fd) {
  size_t n = at[fd].have, used = 0, step;
  memcpy(in, at[fd].rest ? at[fd].rest : in, n);
  ssize_t got = recv(fd, in + n, BUF - n, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;  // an event of this number's last owner
  if (got <= 0) {
    drop(fd);
    return;
  }
  n += (size_t)got, in[n] = 0;
  free(at[fd].rest), at[fd].rest = 0, at[fd].have = 0;
  do {
    size_t out = 0;
    char *p = in + used;
    step = at[fd].is == PUBLISHER ? admin(fd, p, n - used)
           : at[fd].is == JOINING ? join(fd, p, n - used)
                                  : frames(fd, (uint8_t *)p, n - used, &out);
  } while (step && at[fd].is && (used += step) < n);
  if (!at[fd].is || used == n) return;
  if (n - used > REST || !(at[fd].rest = malloc(n - used))) {
    drop(fd);
    return;
  }
  at[fd].have = (uint32_t)(n - used);
  memcpy(at[fd].rest, in + used, n - used);
}

int main(int argc, char **argv) {
  const char *where[2] = {"127.0.0.1:8066", "127.0.0.1:8067"};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--listen")) where[0] = argv[i + 1];
    if (!strcmp(argv[i], "--admin")) where[1] = argv[i + 1];
  }
  const char *answer = "{\"code\":0,\"msg\":\"success\",\"data\":true,\"actioncode\":\"heart_beat\"}";
  one = 2 + strlen(answer);
  for (int i = 0; i < BATCH; i++) sprintf(same + (size_t)i * one, "\x81%c%s", (int)strlen(answer), answer);
  struct rlimit most;
  if (!getrlimit(RLIMIT_NOFILE, &most)) most.rlim_cur = most.rlim_max, setrlimit(RLIMIT_NOFILE, &most);
  ep = epoll_create1(0);
  listen_on(where[0], CLIENTS);
  listen_on(where[1], PUBLISHERS);
  static struct epoll_event ready[1024];
  for (;;) {
    int n = epoll_wait(ep, ready, 1024, -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd, c, is = at[fd].is;
      if (is == CLIENTS || is == PUBLISHERS) {
        for (int k = 0; k < 64 && (c = accept4(fd, 0, 0, SOCK_NONBLOCK)) >= 0; k++) watch(c, is == CLIENTS ? JOINING : PUBLISHER);
      } else if (is) {
        readable(fd);
      }
    }
  }
}
