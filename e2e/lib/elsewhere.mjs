// Another site, for pages that are none of ours. Its host is a site of its own:
// a name under .localhost is no public suffix's, but browsers treat each host
// directly under localhost as registrable.
import { createServer } from 'node:http';

// elsewhere serves pages by path; a page is a text, or { body, headers }.
export async function elsewhere(pages, host = 'other.localhost') {
  const server = createServer((req, res) => {
    const page = pages[new URL(req.url, 'http://x').pathname];
    const { body, headers } = typeof page === 'string' ? { body: page, headers: {} } : page ?? { body: 'nothing here', headers: {} };
    res.writeHead(page ? 200 : 404, { 'Content-Type': 'text/html; charset=utf-8', ...headers });
    res.end(body);
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  return {
    url: `http://${host}:${server.address().port}`,
    close: () => { server.closeAllConnections(); return new Promise((done) => { server.close(done); }); },
  };
}
