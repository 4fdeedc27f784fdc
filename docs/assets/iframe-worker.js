// Search from file://: browsers start no Worker there, so the worker's script runs in a hidden frame of the page.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const room = this.frame.contentWindow;
      room.document.open();
      room.document.write("<!doctype html><body></body>");
      room.document.close();
      const load = (source) =>
        new Promise((done, failed) => {
          const script = room.document.createElement("script");
          script.src = source;
          script.onload = done;
          script.onerror = failed;
          room.document.body.append(script);
        });
      room.importScripts = (...sources) =>
        sources.reduce((before, source) => before.then(() => load(source)), Promise.resolve());
      room.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      this.ready = load(new URL(url, location.href).href);
    }

    postMessage(data) {
      const room = this.frame.contentWindow;
      this.ready.then(() => room.dispatchEvent(new room.MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
