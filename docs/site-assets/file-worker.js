// Browsers start no worker for a page that lies on a disk. There, the search of the theme runs in a hidden frame instead,
// to which this class speaks as to a worker.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.answer = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const begin = "postMessage = data => frameElement.answer(data); importScripts = () => {}"
      frame.srcdoc = `<script>${begin}<\/script><script src="${url}"><\/script>`
      this.ready = new Promise(resolve => frame.addEventListener("load", () => resolve(frame.contentWindow)))
      document.body.append(frame)
    }
    postMessage(data) {
      this.ready.then(frame => frame.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {}
  }
}
