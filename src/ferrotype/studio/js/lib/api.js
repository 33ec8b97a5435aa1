// The server's API. A 401 asks for the key and then repeats the call: whoever called never learns of it.

export class ApiProblem extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || "Something went wrong");
    this.problem = problem;
    this.status = status;
  }
}

/** No answer came: the network or the server is away, or the answer was lost on its way. */
export class NoAnswer extends ApiProblem {
  constructor() {
    super({ code: "no_answer", title: "No answer", detail: "The server cannot be reached.", retryable: true }, 0);
  }
}

let askForKey = null;
let asking = null;

/** `story` shows the sign-in dialog and returns when the key was right. */
export function onUnauthorized(story) { askForKey = story; }

/** Sign in once, however many calls were refused at the same time. */
export function signIn() {
  asking ??= Promise.resolve(askForKey?.()).finally(() => { asking = null; });
  return asking;
}

/** The answer itself, for those who need its headers. `body`: JSON, or a Blob or FormData as it is. */
export async function call(method, path, body, { headers = {}, signal } = {}) {
  const raw = body instanceof Blob || body instanceof FormData;
  const init = { method, signal, headers: { Accept: "application/json", ...headers }, credentials: "same-origin" };
  if (body !== undefined) {
    init.body = raw ? body : JSON.stringify(body);
    if (!raw) init.headers["Content-Type"] = "application/json";
  }
  for (;;) {
    let reply;
    try {
      reply = await fetch(path, init);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new NoAnswer();
    }
    if (reply.status === 401 && askForKey && !path.startsWith("/studio/session")) {
      await signIn();
      continue;
    }
    if (!reply.ok) {
      const problem = await problemOf(reply);
      // A proxy that cannot reach the server, or waited too long for it, answers for it: nobody knows what became of the call.
      if (problem.code === "no_problem" && [502, 503, 504].includes(reply.status)) throw new NoAnswer();
      throw new ApiProblem(problem, reply.status);
    }
    return reply;
  }
}

async function problemOf(reply) {
  try {
    return await reply.json();
  } catch {
    return { status: reply.status, code: "no_problem", title: reply.statusText, detail: `The server answered ${reply.status}.` };
  }
}

async function json(method, path, body, options) {
  const reply = await call(method, path, body, options);
  if (reply.status === 204) return null;
  try {
    return await reply.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new NoAnswer(); // cut off in the middle
  }
}

export const get = (path, options) => json("GET", path, undefined, options);
export const post = (path, body = {}, options) => json("POST", path, body, options);
export const patch = (path, body, options) => json("PATCH", path, body, options);
export const del = (path, options) => json("DELETE", path, undefined, options);

/** Upload one picture; `onprogress` gets 0 to 1. fetch cannot tell how much it has sent. */
export async function upload(file, onprogress, signal) {
  for (;;) {
    const { status, text } = await send(file, onprogress, signal);
    if (status === 401 && askForKey) { await signIn(); continue; }
    let body;
    try { body = JSON.parse(text); } catch { body = { detail: `The server answered ${status}.` }; }
    if (status >= 400) throw new ApiProblem(body, status);
    return body;
  }
}

function send(file, onprogress, signal) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/assets");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => { if (event.lengthComputable) onprogress?.(event.loaded / event.total); };
    request.onload = () => done({ status: request.status, text: request.responseText });
    request.onerror = () => fail(new NoAnswer());
    request.onabort = () => fail(new DOMException("The upload was given up.", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** The picture's path here, in a right size. Absolute URLs may lead to another name of this server, without our cookie. */
export function picture(assetId, { w, dpr = Math.min(window.devicePixelRatio || 1, 2) } = {}) {
  if (!w) return `/images/${assetId}`;
  const steps = [160, 320, 480, 640, 960, 1280, 1920];
  const side = steps.find((step) => step >= w * dpr) ?? steps.at(-1);
  return `/images/${assetId}?w=${side}&format=auto`;
}
