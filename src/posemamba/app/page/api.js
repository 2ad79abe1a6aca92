// Requests to the server.

/** Ask the server; what it refuses is an Error in its words. */
export async function ask(path, method = "GET", body = undefined) {
  const options = { method, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) Object.assign(options, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  const answer = await fetch(path, options);
  if (answer.ok) return answer.json();
  const error = new Error((await words(answer)) || `the server answered ${answer.status}`);
  error.status = answer.status;
  throw error;
}

async function words(answer) {
  const text = await answer.text();
  try { return JSON.parse(text).error; } catch { return text.slice(0, 300); }
}

/** Send a file; `progress` is called with the share that is there. Returns the promise of the job, with `cancel`. */
export function upload(path, file, progress) {
  const request = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => progress(event.loaded / Math.max(1, event.total)));
    request.addEventListener("load", () => {
      let told = {};
      try { told = JSON.parse(request.responseText); } catch { /* not from this server */ }
      if (request.status === 201) resolve(told);
      else reject(new Error(told.error || request.responseText.slice(0, 300) || `the server answered ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error(`${file.name}: the connection to the server broke`)));
    request.addEventListener("abort", () => reject(new Error("")));
    request.open("POST", `${path}?name=${encodeURIComponent(file.name)}`);
    request.send(file);
  });
  promise.cancel = () => request.abort();
  return promise;
}
